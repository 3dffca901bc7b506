"""The pages. Each view authorises, asks, and renders; it decides nothing clinical."""
