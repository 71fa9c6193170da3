"""Capacity reports that finance can audit: from history, plans and decisions to GPU-hours, money and advice."""
