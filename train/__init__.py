"""Training: Brevitas layers with exact scales, networks, data, the OvSW hook, and a loop that resumes to the bit."""
