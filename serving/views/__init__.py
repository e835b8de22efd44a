"""What a caller sees and does, for the routes and the admin pages alike: House and Caller in, wire models out."""
