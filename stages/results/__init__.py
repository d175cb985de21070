"""What a metric is and how it is said: registry, formatting, change and noise, panels, sweep."""
