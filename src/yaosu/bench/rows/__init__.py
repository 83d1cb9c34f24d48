"""One file per row of design §5; each has `measure(server, scale, runs, say)`."""
