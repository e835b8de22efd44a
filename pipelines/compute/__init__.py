"""Work on other machines: functions of this project over many inputs, on a Ray cluster (``ORIMONO_COMPUTE``).

What is computed is each system's. All that a function reads or leaves goes through the object store (and the database):
no machine of the cluster sees this one's folders.
"""
