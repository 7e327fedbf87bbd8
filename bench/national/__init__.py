"""What a day of the nation's referrals asks of the server."""
