"""The battery watch: what the battery says, judged; pure."""
