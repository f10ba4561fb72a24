"""Small implementations of what tf.contrib had and nothing else stands in for; each as it was in TF 1.15.5."""
