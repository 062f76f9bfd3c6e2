"""From a source to finished segments: sources, FFmpeg's command and process, cutting, timeline.

It hands what it finishes to a `SegmentSink` and knows nothing of HTTP, nor of who watches.
"""
