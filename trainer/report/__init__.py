"""Self-contained HTML reports: one page, style and SVG inlined, nothing fetched. Shared by agreement and the data
card."""
