"""Role adapters: what Critic, Coach and Therapist learn from, how they are trained, how they are released."""
