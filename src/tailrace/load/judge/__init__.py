"""Judgements of measurements: SLOs, the three answers on a run, confidence, why a run ended.

Pure: measurements in, reasons out.
"""
