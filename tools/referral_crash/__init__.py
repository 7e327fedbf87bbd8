"""Kills the server while referrals are sent, decided, booked and cancelled, and looks for what is half done."""
