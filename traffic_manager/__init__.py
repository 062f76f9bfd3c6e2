"""The manager role: fleet, demand, forecasts, policy, steering.

Its place is fixed by the import contracts; nothing stands in it yet.
"""
