"""The system under test over HTTP.

`system` has the nodes and an event loop of its own; `routing` chooses a node for each query, `node`
knows one server and what it serves, `wire` turns samples into requests and answers into records.
`pool` and `exchange` are its HTTP/1.1 connections.
"""
