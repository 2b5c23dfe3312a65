"""How far a judge agrees with a reference rater: statistics, bootstrap intervals, the report and its command."""
