"""What tests of nodes share: processes, launches and demos on DDS domains of their own, and who listens to them."""
