"""The control room: one interface, `LoadControl`, and the faces that translate to it.

Nothing here sends load or touches a model; the controller drives `tailrace.load` sessions.
"""
