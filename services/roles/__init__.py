"""The three roles' language: how they are prompted and how their output is read, for serving and for training."""
