"""Judgements of measurements: SLOs, the verdict, confidence, why a run ended.

Pure: measurements in, reasons out.
"""
