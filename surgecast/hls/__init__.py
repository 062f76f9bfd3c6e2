"""The HLS format as pure values: model, rendering, parsing, and the rules a stream must keep."""
