"""The three roles: Critic, Coach and Therapist. Prompts are files, output is parsed strictly, failures are typed."""
