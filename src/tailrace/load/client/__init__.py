"""HTTP from the generator's side: what is sent and to whom, connections, answers.

It knows nothing of rates, of schedules or of other processes.
"""
