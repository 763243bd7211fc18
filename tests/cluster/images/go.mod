// The programs in the images that the test cluster's node runs. They use nothing but Go's own
// library, so there is no go.sum.
module kf-images

go 1.26.0
