"""When each request leaves: arrival processes, rates over time, recorded traffic.

Pure: no clock is read here and no socket opened. The files that are read are named by the user.
"""
