package remotequeue

func workerProcess(string) {}
