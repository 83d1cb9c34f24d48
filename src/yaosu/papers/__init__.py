"""Printed matter: one description of a document, as PDF, DOCX or XLSX."""
