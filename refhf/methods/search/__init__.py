"""Line searches (`armijo`, `wolfe`), and rules for directions that the families share (`descent`)."""
