"""The admin pages: server-rendered, without a build step and without the internet. JavaScript only makes them livelier.

What they show comes from serving/views, as for the API; here is how it looks.
"""
