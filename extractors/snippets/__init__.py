"""What temporal segment networks and temporal difference networks share: snippets and fine-tuning on them."""
