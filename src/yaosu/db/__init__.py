"""Connection, embedded server, migrations."""
