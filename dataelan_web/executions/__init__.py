"""The middle room: from a prompt to its recorded answer. Playground, gateway and worker are its three doors."""
