"""The command line: `yaosu …`."""
