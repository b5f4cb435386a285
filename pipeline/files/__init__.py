"""Write files atomically, lock and digest them, and notice damaged ones."""
