"""The tests mirror the packages; `data/<name>/data.py` write tiny fakes in the real layouts."""
