"""Model versions on the shelf, and how they are judged."""
