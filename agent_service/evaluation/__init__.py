"""Does the agent make replies better? Drafts in, tables and a report out; a judge that steered nothing decides."""
