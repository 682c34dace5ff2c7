"""Place and route with nextpnr, packing, and what their reports say. All tools come from pip."""
