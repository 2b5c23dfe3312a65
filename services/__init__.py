"""What theraloop's services share, and nothing of either: contracts, rubric, platform, client and command line."""
