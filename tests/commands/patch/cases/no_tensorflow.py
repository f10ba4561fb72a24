# nothing: does not use TensorFlow
from scipy import optimize

result = optimize.minimize(rosenbrock, [0.0, 0.0])
