"""Sources that come to us: RTMP publishers, and SRT or UDP through a child that passes bytes."""
