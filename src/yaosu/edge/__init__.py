"""What every room's API and pages share: connection, subject, problem answers, rendering."""
