"""Whether the judge still is what was packaged: golden cases asked again, scores compared with a reference."""
