"""From a source to finished segments: sources, FFmpeg's command and process, cutting, timeline.

What is finished goes to a `SegmentSink`; nothing here knows who watches. Only `remote` and `worker`
speak HTTP: to the origin that shows what was cut, and to the manager that says what to encode.
"""
