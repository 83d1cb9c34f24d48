"""Telling people: messages on the page and signed webhooks to an organisation's own software."""
