"""Scenes: each a thing that newcomers can click through, played over the public API after the calendar (issue 3)."""
