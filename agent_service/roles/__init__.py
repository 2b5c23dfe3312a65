"""The three roles at work: Critic, Coach and Therapist ask their models; whatever goes wrong is typed and survived."""
