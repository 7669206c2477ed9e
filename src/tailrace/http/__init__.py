"""HTTP as both our servers speak it, inference service and control room: uvicorn within limits."""
