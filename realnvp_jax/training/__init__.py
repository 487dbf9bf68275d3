"""From a config to a trained flow."""
